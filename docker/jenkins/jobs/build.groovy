// The job `build`: checks each change of the main branch, and builds and pushes its images. Written for the plugin job-dsl.
pipelineJob('build') {
  description('Checks each change, and builds and pushes its images. Its name is the ACTION of the Jenkinsfile.')
  // The same as in the Jenkinsfile: Jenkins learns those only in a first run, which would have none of their values.
  parameters {
    choiceParam('ACTION', ['', 'build', 'deploy', 'rollback'], 'Empty: the name of the job')
    choiceParam('ENVIRONMENT', ['development', 'production'], 'Where to deploy or roll back')
    stringParam {
      name('TAG')
      defaultValue('')
      description('Tag of the images. Empty: the commit (build only)')
      trim(true)
    }
  }
  properties {
    pipelineTriggers {
      triggers {
        pollSCM { scmpoll_spec('H/5 * * * *') }
      }
    }
  }
  definition {
    cpsScm {
      scm {
        git {
          remote {
            url(GIT_URL)
            credentials('git')
          }
          branch('main')
        }
      }
      scriptPath('Jenkinsfile')
    }
  }
}
